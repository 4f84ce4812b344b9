//! What a session's worker and its application handles share: two pipes, what the application
//! wants, and how far the session has come.
