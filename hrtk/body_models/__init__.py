"""Body models: linear blend skinning, body files, and joint lists."""

from hrtk.body_models.body import BodyModel, BodyOutput
from hrtk.body_models.files import BodyData, load_body_file

__all__ = ['BodyData', 'BodyModel', 'BodyOutput', 'load_body_file']
