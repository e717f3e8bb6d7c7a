"""Routes for live video: sessions, WHIP and WHEP."""
