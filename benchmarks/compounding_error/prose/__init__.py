"""What texts say of records: their numbers, their claims, and which way their sentences go."""
