"""The chat protocol of arXiv 2402.16775: one user turn after Qwen's default system prompt."""

from __future__ import annotations

from qbench.tasks.requests import ChatRequest

SYSTEM = "You are a helpful assistant."
MAX_NEW_TOKENS = 512
# Qwen's stop words under ChatML; a template with other marks ends its turns by EOS.
STOP = ("<|im_end|>", "<|im_start|>")


def chat_request(text: str, *, temperature: float = 0.0, top_p: float = 1.0) -> ChatRequest:
    """Build the request of one user turn; greedy unless a temperature is given."""
    messages = (("system", SYSTEM), ("user", text))
    return ChatRequest(messages, MAX_NEW_TOKENS, STOP, temperature, top_p)
