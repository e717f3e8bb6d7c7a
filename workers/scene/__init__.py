"""What stands behind the subject, and putting the subject in front of it."""
