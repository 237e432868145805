"""The embedded family: small trained models, the world they know, packs of test items."""
