"""Data that web keeps for its users: uploads in progress, backgrounds, and jobs cached for event streams."""
