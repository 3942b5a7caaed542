//! The server's half of every call.

use super::method::Method;
use crate::fault_table::to_internal_status;
use prost::Message;
use tonic::{Request, Response, Status};
use vectron_base::Fault;

/// Longest detail of a fault, in bytes.
const DETAIL_MAX_BYTES: usize = 1024;
/// Most bytes of all field errors of a fault together.
const ERRORS_MAX_BYTES: usize = 4096;

/// Reads the request, lets `act` do it, writes the answer.
pub(super) async fn serve<M, R, Q, A, F>(
    method: Method<M, R>,
    send_limit: usize,
    message: Request<M>,
    act: impl FnOnce(Q) -> F,
) -> Result<Response<R>, Status>
where
    M: Message,
    R: Message + From<A>,
    Q: TryFrom<M, Error = Fault>,
    F: Future<Output = Result<A, Fault>>,
{
    let answered = answer(method, send_limit, message.into_inner(), act).await;
    answered.map(Response::new).map_err(|fault| to_internal_status(&short(fault)))
}

/// The same without gRPC around the messages.
pub(crate) async fn answer<M, R, Q, A, F>(
    method: Method<M, R>,
    send_limit: usize,
    message: M,
    act: impl FnOnce(Q) -> F,
) -> Result<R, Fault>
where
    M: Message,
    R: Message + From<A>,
    Q: TryFrom<M, Error = Fault>,
    F: Future<Output = Result<A, Fault>>,
{
    let message = R::from(act(Q::try_from(message)?).await?);
    method.check_answer(&message, send_limit)?;
    Ok(message)
}

/// A fault that fits into response headers: one that does not would reach the caller as a broken stream.
pub(crate) fn short(mut fault: Fault) -> Fault {
    cut(&mut fault.detail, DETAIL_MAX_BYTES);
    // Half an address leads nowhere.
    fault.leader = fault.leader.filter(|address| address.len() <= DETAIL_MAX_BYTES);
    let mut left = ERRORS_MAX_BYTES;
    fault.errors.retain_mut(|error| {
        cut(&mut error.field, DETAIL_MAX_BYTES);
        cut(&mut error.reason, DETAIL_MAX_BYTES);
        let bytes = error.field.len() + error.reason.len();
        let fits = bytes <= left;
        left = if fits { left - bytes } else { 0 };
        fits
    });
    fault
}

fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
}
