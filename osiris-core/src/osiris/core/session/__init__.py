"""Sessions: one run and its folder, which says how the run stands even when its process is gone."""

from osiris.core.session.folder import Session
from osiris.core.session.listing import SessionInfo, SessionStatus, latest, list_sessions

__all__ = ["Session", "SessionInfo", "SessionStatus", "latest", "list_sessions"]
