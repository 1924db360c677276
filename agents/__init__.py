"""Agents: one file each, its loss module and its agent."""
