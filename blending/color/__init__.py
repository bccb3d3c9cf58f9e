"""Tiles of one tone: matching to a reference, and gain compensation between neighbours."""
