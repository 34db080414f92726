"""The machine that tradewind runs on: its encoding, its proxies, and names of folders."""
