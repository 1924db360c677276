"""What studies are made of: arms and places that they share, questions, and how a study in a file is found."""
