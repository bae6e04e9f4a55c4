"""What people take away: maps and areas."""
