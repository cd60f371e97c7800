"""The judge: does the new release make chargers worse than chargers that do not have it yet?

Pure and integer: facts in, a verdict with its evidence out. It reads no clock and no database, draws no random number
(the planner is handed its seed) and never decides what to do about a verdict: the controller does.

Rules:
1. Evidence is never read in the order of arrival. Failures come early and successes after the soak, so whoever reads
   outcomes as they arrive sees failures first and halts good releases (`streams.py` says which readings are valid).
2. No data neither halts nor promotes: every unknown takes the value that is worst for the claim.
3. Silence past its deadline is an outcome, by the same definition in both arms.
4. Every log-factor is an integer from a table, so a stored verdict recomputes bit for bit on any machine.

Where to look: `facts.py` what is stored per block, `observe.py` how a report changes it, `plan.py` what was declared
before the start, `outcomes.py` what a fact means at a watermark, `tables.py` and `capital.py` the numbers,
`streams.py` the three streams of evidence, `verdict.py` the verdict, `cap.py` how many may be in flight,
`planner.py` what a wave can show, `margins.py` with which margins, `draw.py` who is a control.
Reasons: docs/adr/0005-the-judge.md.
"""
