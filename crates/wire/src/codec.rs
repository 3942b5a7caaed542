//! The protobuf codec of every service: prost, with undecodable bytes reported as the sender's mistake.
//!
//! The stock codec answers INTERNAL to a message that does not decode, which blames the wrong side and makes
//! clients retry.

use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Codec for messages encoded as `Out` and decoded as `In`.
pub struct StrictCodec<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for StrictCodec<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out: Message + Send + 'static, In: Message + Default + Send + 'static> Codec for StrictCodec<Out, In> {
    type Encode = Out;
    type Decode = In;
    type Encoder = StrictEncoder<Out>;
    type Decoder = StrictDecoder<In>;

    fn encoder(&mut self) -> Self::Encoder {
        StrictEncoder(PhantomData)
    }
    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(PhantomData)
    }
}

/// Encodes one message type.
pub struct StrictEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for StrictEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|_| Status::internal("the answer could not be encoded"))
    }
}

/// Decodes one message type.
pub struct StrictDecoder<T>(PhantomData<T>);

impl<T: Message + Default> Decoder for StrictDecoder<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        T::decode(buffer).map(Some).map_err(|error| {
            let fault = vectron_base::Fault::new(
                vectron_base::Code::InvalidArgument,
                format!("the message is not valid protobuf for this method: {error}"),
            );
            crate::fault_table::to_status(&fault, None)
        })
    }
}
