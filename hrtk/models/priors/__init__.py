"""What is known about people before any picture is seen."""

from hrtk.models.priors.gmm import GMMPosePrior
from hrtk.models.priors.motion_discriminator import MotionDiscriminator
from hrtk.models.priors.pose_autoencoder import PoseAutoEncoder

__all__ = ['GMMPosePrior', 'MotionDiscriminator', 'PoseAutoEncoder']
