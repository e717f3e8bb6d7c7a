"""The commands of `mattebox`, one file per topic; `app.py` registers them. They may import every package."""
