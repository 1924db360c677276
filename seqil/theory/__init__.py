"""What is known without sampling: closed forms, recursions and enumerations."""
