"""Campaigns: ask and tell until the budget is spent."""

from labelwise.campaign.campaign import Campaign, Plan, Refused, describe

__all__ = ["Campaign", "Plan", "Refused", "describe"]
