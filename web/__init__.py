"""The web process: pages, API, WHIP and WHEP. Imports `stream`. It handles no media and keeps its state in Redis."""
