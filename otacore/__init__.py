"""The shared core: what charger, signer, repository and rollout must understand the same way.

It imports none of the other packages and no server library, for it runs on the charger.
"""
