"""The routes of live video: sessions, WHIP and WHEP."""
