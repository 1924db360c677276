"""What files hold: documents of plain text, of records and of saved data sets."""
