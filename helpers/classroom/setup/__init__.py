"""Install the course, check it, open it."""
