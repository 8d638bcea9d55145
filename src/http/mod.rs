//! HTTP: the server through which a running rutter is spoken to, the shapes it speaks, and the
//! client for its control socket.
