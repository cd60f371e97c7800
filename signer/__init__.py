"""Holds offline keys and signs what is put before it. It knows no network and no database."""
