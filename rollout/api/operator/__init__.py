"""The operator API, `/api/v1`: thin routes, one file for each thing they are about."""
