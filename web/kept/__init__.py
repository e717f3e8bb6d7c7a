"""What the server keeps for its users: uploads under way, backgrounds, and a watch on jobs that change."""
