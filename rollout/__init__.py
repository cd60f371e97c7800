"""Who may install what, and when: devices, waves, judge, permits, places and the audit log."""
