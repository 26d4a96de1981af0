"""Runs on a cluster: asyncio and a client."""
