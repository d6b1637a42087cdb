//! Squeeze-and-excite: a convolution's result scaled by channel, by a small network over its mean along the window.

use tch::{TchError, Tensor};

/// x + x·tanh(W↑·relu(W↓·mean(x))).
#[derive(Debug)]
pub(super) struct Gate {
    /// [rank, channels].
    pub(super) down: Tensor,
    /// [channels, rank].
    pub(super) up: Tensor,
}

impl Gate {
    pub(super) fn learns(&self) -> bool {
        self.down.requires_grad() || self.up.requires_grad()
    }

    /// The factors [channels] for the means [channels]. None is negative, so that they may be applied after a maximum.
    pub(super) fn factors(&self, means: &Tensor) -> Result<Tensor, TchError> {
        let inner = self.down.f_mv(&means.f_to_kind(self.down.f_kind()?)?)?.f_relu_()?;
        // Not in place: the gradient of tanh is read off its result.
        self.up.f_mv(&inner)?.f_tanh()?.f_add_scalar(1.0)
    }

    /// Positions [positions, channels] scaled by the factors for their own mean.
    pub(super) fn apply(&self, positions: &Tensor) -> Result<Tensor, TchError> {
        let means = positions.f_mean_dim([0i64].as_slice(), false, self.down.f_kind()?)?;
        positions.f_mul(&self.factors(&means)?.f_to_kind(positions.f_kind()?)?)
    }
}
