# MPI-INF-3DHP's test set in SPIN's layout, made by SPIN's script from the original download. 2D and 3D points are
# measured, there is no body.
dataset = dict(type='SPINFile', file='data/spin/mpi_inf_3dhp_test.npz', image_root='data/mpi_inf_3dhp', keypoints='gt')
evaluator = dict(type='MeshEvaluator', protocol='mpi_inf_3dhp')
