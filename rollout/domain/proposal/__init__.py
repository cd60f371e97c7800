"""A plan for the fleet as it is, laid out without being asked how: who can come, in which waves, for how long.

Pure, and never a refusal: what an author wishes and cannot have is answered with the nearest plan that can be.

Where to look: `request.py` what may be wished, `candidates.py` who can come, `openings.py` how many after each wave,
`waves.py` which waves, `draft.py` the judge's plan and where each of its numbers comes from, `supplies.py` whom each
wave compares with, `days.py` how long it takes, `outlook.py` what it shows, `harm.py` who is harmed before a halt.
`rollout/domain/planning.py` puts them together.
"""
