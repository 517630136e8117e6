"""Supabase: tables to read and write, over Postgres or over REST."""
