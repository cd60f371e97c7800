"""The simulation: the real device machine, controller, permits, places and cohort in one process, under one seed.

What it is: worlds of up to 25 chargers with everything that goes wrong in the field (lost, doubled and late messages,
power cuts at every write, crashes of the server at every commit, dead and silent chargers, operators who interfere),
and checkers that look at such a world from outside and hold it to the promises of the design.
What it does not do: networks, disks, signatures, SQL. Those are tested where they stand; here everything is a value.

Rules:
1. One seed, one world, one trace: nothing here reads a clock, draws unseeded chance or depends on the order of a set.
2. A checker never asks the code under test whether it did right: it keeps its own books (`books.py`).
3. A kind of trouble that no seed reaches is not tested: `coverage.py` counts what was reached, and a test demands it.
4. The tester is tested: `planted.py` holds bugs, each of which must be found.

Where to look: `engine.py` the heap, `faults.py` what goes wrong, `network.py` messages, `medium.py` what survives a
power cut, `charger.py` one charger around the machine, `server.py` the rollout host, `repository.py` what is published,
`people.py` operators, `scenario.py` and `worlds.py` what is drawn from a seed, `world.py` what is made of it,
`promises_*.py` the checkers (called by `watch.py`), `run.py` seeds.
"""
