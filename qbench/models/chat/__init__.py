"""Conversations: templates in a process of their own, and ids that no message can forge."""
