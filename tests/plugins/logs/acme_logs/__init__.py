"""Web server logs for Osiris."""
