"""Dry run: one rollout after another is played over a fleet that does not exist, by the judge that decides live.

* `world.py` what befalls chargers; `fleet.py` who is there; `script.py` the plan that is played
* `fates.py` draws what will happen to the chargers of a wave, before anything is known of it
* `play.py` plays one rollout minute by minute: permits, caps, outages, evidence, verdict
* `streams.py` and `blocks.py` read the evidence, by the tables, thresholds and recursion of `domain.judge`
* `finals.py` reads only the last word of many good rollouts at once: how often is one halted?
* `tally.py` sums up

Pure: chance is a generator that is handed in, time is a number of minutes since the start of the rollout.
"""
