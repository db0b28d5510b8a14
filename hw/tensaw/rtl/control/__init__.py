"""Program fetch, dispatch, tokens, registers and counters."""
