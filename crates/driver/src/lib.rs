//! Drives a real Chromium.
