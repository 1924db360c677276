"""What a policy that deletes must remember: the study on two tasks, and those around it."""
