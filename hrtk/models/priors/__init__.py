"""Priors: energies, critics and latent spaces of human pose and motion, independent of images."""

from hrtk.models.priors.gmm import GMMPosePrior
from hrtk.models.priors.motion_discriminator import MotionDiscriminator
from hrtk.models.priors.pose_autoencoder import PoseAutoEncoder

__all__ = ['GMMPosePrior', 'MotionDiscriminator', 'PoseAutoEncoder']
