"""What is known about people before any picture is seen."""

from hrtk.models.priors.gmm import GMMPosePrior

__all__ = ['GMMPosePrior']
