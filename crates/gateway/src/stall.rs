//! Connections whose client stops reading: no progress in writing for too long ends them.

use futures::future::BoxFuture;
use std::io::{Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use vectron_base::pool::Pool;

/// A stream of which writes fail that could not move for a while.
pub struct Unstalled<S> {
    inner: S,
    pool: Arc<dyn Pool>,
    patience: Duration,
    /// Runs while a write waits.
    over: Option<BoxFuture<'static, ()>>,
}

impl<S> Unstalled<S> {
    /// Writes may wait for `patience` at a time.
    pub fn new(inner: S, pool: Arc<dyn Pool>, patience: Duration) -> Self {
        Self { inner, pool, patience, over: None }
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<Result<T, Error>>) -> Poll<Result<T, Error>> {
        if polled.is_ready() {
            self.over = None;
            return polled;
        }
        let over = self.over.get_or_insert_with(|| self.pool.sleep(self.patience));
        match over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<Result<usize, Error>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, from);
        self.bounded(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, from);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
