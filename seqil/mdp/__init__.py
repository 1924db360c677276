"""The token MDP: prefixes as states, tokens and a backspace as actions, trajectories and their prefix trees."""
