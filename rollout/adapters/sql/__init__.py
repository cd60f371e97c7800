"""The SQL store: SQLModel tables, Alembic migrations, and rows that never leave this folder."""
