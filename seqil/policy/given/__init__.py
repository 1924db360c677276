"""Folders that users name, looked at before a library reads them."""
