"""One file per revision; written by `rollout.adapters.sql.revise`, never changed after a release."""
