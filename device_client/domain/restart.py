"""How the agent begins after a boot, a power cut or a crash: what the three records say together.

The boot record is the truth of what runs and what may boot; the journal says what the agent was about. Where a power cut
fell between two writes, the state here is the one that lets the missing write be made again, so doing it twice is harmless.
"""
