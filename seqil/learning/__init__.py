"""What an update is: divergences and objectives, losses and agents, noise, experts, and the loop."""
