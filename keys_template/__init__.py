"""Key policies and ceremony templates; there are no secrets in here."""
