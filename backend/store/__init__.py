"""Tables, migrations and sessions of the service's database (SQLite or PostgreSQL)."""
